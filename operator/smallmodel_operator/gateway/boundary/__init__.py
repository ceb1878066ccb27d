"""ClusterBoundary at a gateway: watched, put into force (refused, let go, cut), said in its status."""
