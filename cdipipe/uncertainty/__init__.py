"""How far each pixel of a result can be believed."""
