"""
What does a small BitTorrent peer look like whose transport is an endpoint string?
"""
