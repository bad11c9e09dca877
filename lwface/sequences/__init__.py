"""People in sequences of small crops without a face: the faceless recognition challenge (Orcam, DataHack 2019)."""
