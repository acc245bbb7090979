raise ImportError("No module named 'ovito'")
