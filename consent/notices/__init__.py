"""What people are told: texts in every language, their revisions, and the wordings of apps."""
