"""Scanning: what images hold, which vulnerabilities that has, and what the API says of it.

configuration.py        which repositories are scanned, and when
requests.py             scans are owed: on push, by StartImageScan
scan.py                 the job: layers → inventory → verdicts → the image's scan
verdicts.py             which vulnerabilities a package has, from one generation of the data to another
rematch.py              the job after new data: only what it changes is looked at again
vulnerability_data.py   builds of the data: published once, found by every job process
findings.py             DescribeImageScanFindings, in both shapes
"""
