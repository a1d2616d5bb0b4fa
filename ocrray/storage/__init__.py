"""Storage room: files and folders on local disks and in object stores, all through one `Location`."""

from ocrray.storage.location import Location, LocationPath

__all__ = ["Location", "LocationPath"]
