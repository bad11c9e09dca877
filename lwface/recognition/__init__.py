"""The face task: network and classifier, its data, its verification."""
