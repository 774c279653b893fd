"""The versions of many hosts: the database has them, and the folder of each host is a cache."""
