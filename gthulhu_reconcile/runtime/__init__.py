"""One pass, the service around it, and the settings of both."""
