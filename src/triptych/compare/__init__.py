"""GPT against CNN: both trained and measured alike on one set of labelled media."""
