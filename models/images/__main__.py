"""`python -m models.images NAME`: builds one optional bundle in models/bundles, from pinned, hash-checked sources."""

import sys

from models.images import efficientnet_lite0, hate_symbols, nsfwjs_mid

_RECIPES = {
    "nsfwjs-mid": nsfwjs_mid.build,
    "efficientnet-lite0": efficientnet_lite0.build,
    "hate-symbols": hate_symbols.build,
}


def main() -> int:
    """Run the recipe that is named."""
    if len(sys.argv) != 2 or sys.argv[1] not in _RECIPES:
        print(f"usage: python -m models.images NAME\nNAME is one of: {', '.join(_RECIPES)}", file=sys.stderr)
        return 2
    _RECIPES[sys.argv[1]]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
