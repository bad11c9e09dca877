"""A folder with a page that compares two photographs in the browser, offline."""
