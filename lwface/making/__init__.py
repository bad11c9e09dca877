"""From folders of people to record files, verification packs and crops."""
