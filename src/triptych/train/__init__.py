"""One training loop, for the visual tokenizer and for the GPT."""
