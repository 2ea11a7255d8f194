export function DiscoveryView() { return null; }
