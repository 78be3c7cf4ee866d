"""What requests are answered from: topic views, books now and then, audits."""
