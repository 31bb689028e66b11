"""Every host's speed, load and sensors on one axis of time."""
