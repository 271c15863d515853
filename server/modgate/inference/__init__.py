"""Model bundles and the worker that runs them under deadlines."""
