"""What can be seen of the service: metrics, traces, logs and timelines, all made from the same facts."""
