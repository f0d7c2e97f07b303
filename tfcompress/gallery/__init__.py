"""What a run keeps to be looked at, gathered while the model, its data and the float file are at hand."""
