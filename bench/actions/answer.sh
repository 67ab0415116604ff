#!/bin/bash
# Reads its argument from stdin to the end and answers with its length.
argument=$(</dev/stdin)
echo "{\"bytes\":${#argument}}"
