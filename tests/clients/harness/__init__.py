"""
How does a BitTorrent client that somebody else wrote exchange a torrent with our examples, over uTP and nothing else?
"""
