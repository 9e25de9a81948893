"""How cards are reached: the vendor's runtime, or the emulator behind the same interface."""
