"""What Grafana shows: dashboards as code, and the JSON that is built from them."""
