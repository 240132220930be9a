"""A simulated provider: SuperDuperAI's wire contract, with faults that have names. It stands alone."""
