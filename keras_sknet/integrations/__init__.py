"""Adapters to other packages: each a module that needs the package it is named after."""
