"""Baked color tables; made by tools/bake_palettes.py."""
