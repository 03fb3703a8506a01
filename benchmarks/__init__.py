"""What ReplySequence costs, as ratios within one run. `make bench` runs all of it; README.md beside this says how."""
