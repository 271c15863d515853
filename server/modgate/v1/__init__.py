"""The contract: code generated from `protos/modgate/v1` by `make protos`. Do not edit."""
