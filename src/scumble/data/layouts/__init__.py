"""How folders of pictures are laid out, by those who made them."""
