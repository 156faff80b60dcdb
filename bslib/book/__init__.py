"""The book: running its notebooks, recording what they made, and building its pages."""
