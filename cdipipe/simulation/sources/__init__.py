"""Where scenes take shapes, densities and photographs from: made here, bundled, fetched, or the user's own."""
