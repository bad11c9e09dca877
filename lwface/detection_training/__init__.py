"""The detector of our own: scenes of rendered people, what each place of the network learns, the task of the loop."""
