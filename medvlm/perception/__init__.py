"""What the heads see in an image: one view of it, phrases and prompts as regions."""
