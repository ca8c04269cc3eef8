"""Reports: a page that says what a survey was asked, how it went and what it found."""
