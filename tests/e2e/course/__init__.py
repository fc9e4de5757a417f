"""The blocks of a course on ECR, in our own words, against AWS's own host names."""
