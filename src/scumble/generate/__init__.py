"""Drawing pictures with a base model and LoRAs, and the recipe that each picture carries."""
