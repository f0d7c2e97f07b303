"""Lowering to TFLite: conversion, checking and reading of the files, and the interpreters that run them."""
