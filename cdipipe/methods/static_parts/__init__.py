"""What the methods that know or estimate a static region share."""
