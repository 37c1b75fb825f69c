"""Data sets: of this software, of folders of images, of the user; splits of them."""
