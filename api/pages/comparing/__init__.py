"""Any studies compared on the page, whoever made them."""
