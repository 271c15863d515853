"""The public suffix list, from the snapshot inside `tldextract`: nothing is fetched, ever."""

from functools import cache

import tldextract

__all__ = ["extractor", "public_suffixes"]


@cache
def extractor() -> tldextract.TLDExtract:
    """Return an extractor that splits host names by the snapshot of the public suffix list."""
    return tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None, include_psl_private_domains=False)


@cache
def public_suffixes() -> frozenset[str]:
    """Return all public suffixes in Unicode and lower case: `com`, `co.uk`. Takes tens of milliseconds once."""
    return frozenset(extractor().tlds)
