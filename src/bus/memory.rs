//! The bus of a node that runs alone: there is nobody to publish to.

use async_trait::async_trait;

use crate::chat::{Bus, Envelope, Publishing, Topic, Unavailable};

/// Reaches nobody, and always can.
#[derive(Debug, Default, Clone, Copy)]
pub struct MemoryBus;

#[async_trait]
impl Bus for MemoryBus {
    fn publish(&self, _: &Envelope) -> Publishing {
        Box::pin(std::future::ready(Ok(())))
    }

    async fn subscribe(&self, _: Topic) {}

    fn unsubscribe(&self, _: Topic) {}

    fn is_alone(&self) -> bool {
        true
    }

    fn is_up(&self) -> bool {
        true
    }

    async fn ping(&self) -> Result<(), Unavailable> {
        Ok(())
    }
}
