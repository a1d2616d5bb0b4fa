"""Made data: pages set in period type, damage like that of old print and of scanning, and the bundled demo scans."""
