"""What came out: arms and protocols for ``tuner.compare``, of our studies and of anyone's."""
