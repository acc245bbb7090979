"""Where scenes take shapes, densities and photographs from: made here, bundled with packages, fetched, or the user's."""
