"""How layers of signs times signs are done here: by torch or by signs, whichever is faster."""
