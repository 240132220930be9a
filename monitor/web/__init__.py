"""HTTP: the API for applications, the scrape for Prometheus, the page for people."""
