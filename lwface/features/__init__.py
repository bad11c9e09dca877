"""The embedding engine, what runs it, and the feature files that it writes."""
