"""Commands around the main loop: listings, configuration, doctor, reports, speed."""
