"""Tests; a package, so that they may import what lies beside them."""
