"""Sources of frames, one module each; see ``cdipipe.live.registry``."""
